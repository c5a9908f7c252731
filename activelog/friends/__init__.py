"""Friends: who asked whom, who said yes, and what one hears of the other.

Asking gives the same answer whether the address has an account or not, or has blocked the asker,
so nobody learns here who is there. Mails about friends gather: what happens within a while is one
mail. It marks what it tells before it is sent, so a second run tells the same.
"""
