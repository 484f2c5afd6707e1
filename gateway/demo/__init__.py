"""`manage.py demo`: the main job on simulated cars, told as it happens.

A client of what everybody uses: it runs `manage.py up` and the simulator, and then speaks to the
gateway through its REST interface and its commands alone.
"""
