"""How people get into the admin: second factor, sessions that end, single sign-on, and the log of
log-ins. Passwords and their pages are Django's."""
