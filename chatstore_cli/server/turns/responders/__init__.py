"""The responders, which answer users' messages in place of an application. One file for each kind."""
