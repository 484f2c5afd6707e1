"""Telling people and machines what happens: events declared, started, ended, restored; trouble.

`telling` writes what is to be told, in the transaction of what it tells of; `watching` tells what
is wrong; `sending` delivers, by `mail` and by `post`; `subscribing` is how somebody asks for it.
"""
