"""Accounts: register, verify the address, sign in.

Nobody can learn here whether an address has an account, from answers or from timing. Registering
writes the same rows and gives the same answer whether the address is taken or not; only the mail
differs, and that goes to the address. An account counts from its verification on, and a link
verifies exactly the registration that it was sent for: whoever registers somebody else's address
first gains nothing, since the owner's own link brings the owner's own password.
"""
