"""Mock target: one small real server that is fast, slow, wrong, failing, hanging or rude, and counts what it did.

Pure, read in this order:
query        one parameter of a query string → a checked value, or one line that says what is wrong
behaviours   what the server can do to a request, as data
routes       which path asks for which behaviour; the list that GET / prints
share        which of N requests a share of them hits, without chance
plan         a request target → a Plan
counts       what was done: per path, per behaviour, per status

On the socket:
perform      a behaviour → bytes, or the lack of them
server       listeners, the handler, the end
certificate  self-signed, made at start
"""
