"""The responders: what plays the application. One file for each kind."""
