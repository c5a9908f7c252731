"""Accounts: register, verify the address, sign in.

Nobody can learn here whether an address has an account, from answers or from timing: registering
writes the same rows and jobs and gives the same answer whether the address is taken or not. Which
mail is sent is decided by the job that sends it. An account counts from its verification on, and a
link verifies exactly the registration that it was sent for, with the password chosen there. So a
stranger who registers somebody else's address has nothing unless its owner follows the stranger's
link, and the mail says what following it means.
"""
