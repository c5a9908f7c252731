"""Accounts: register, verify the address, sign in.

Nobody can learn here whether an address has an account: registering writes the same rows and jobs
and gives the same answer whether the address is taken or not. Which mail is sent is decided by the
job that sends it; whose address a forgotten password is of is looked for by a job, too. An account
counts from its verification on, and whoever opens the link chooses the password: a stranger who
registers somebody else's address has nothing, whichever link its owner follows.
"""
