"""Who there is: accounts, users and their policies, keys, sessions. Their rules and state; knows no policy engine."""
