"""Registry: gates judge a version, promotion makes it champion, a roll-back brings the one before back."""
