"""Account settings: the rules and state of GetAccountSetting and PutAccountSetting."""
