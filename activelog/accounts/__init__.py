"""Accounts: register, verify the address, sign in.

Nobody can learn here whether an address has an account: registering writes the same rows and jobs
and gives the same answer whether the address is taken or not. Which mail is sent is decided by the
job that sends it. A job, not the request, looks up the account of a forgotten password. An account
counts from its verification on, and whoever opens the link chooses the password: a stranger who
registers somebody else's address has nothing, whichever link its owner follows.
"""
