"""Accounts: register, verify the address, sign in.

Nobody can learn here whether an address has an account: registering writes the same rows and jobs
and gives the same answer whether the address is taken or not. Which mail is sent is decided by the
job that sends it. (A forgotten password writes a row only where there is an account; three tries an
hour are not enough to tell it from the time that takes.) An account counts from its verification
on, and a link verifies exactly the registration that it was sent for, with the password chosen
there. So a stranger who registers somebody else's address has nothing unless its owner follows the
stranger's link, and the mail says what following it means.
"""
