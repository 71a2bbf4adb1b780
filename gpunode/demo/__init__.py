"""The guided tour: a small cluster on loopback, the three agents against it, and what they do, for people to see."""
