"""What every page that motionloom serves has in common: who is let in, what a browser may do with it, and the port."""
