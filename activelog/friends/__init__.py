"""Friends: who asked whom, who said yes, and what one hears of the other.

Asking gives the same answer whether the address has an account or not, or has blocked the asker,
so nobody can find out which addresses have accounts. Mails about friends are digests: what happens
within a while is one mail.
"""
