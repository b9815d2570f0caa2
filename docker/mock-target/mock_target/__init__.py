"""Mock target: one small real server that answers fast, late, wrongly or not at all, and counts its requests.

Pure modules, in reading order:

    query: a parameter of a query string → a checked value, or a one-line error
    behaviours: everything that the server can do to a request, as data
    routes: the behaviour of each path, and the list that GET / prints
    share: the choice of a share of N requests, without chance
    plan: a request target → a Plan
    counts: the requests per path, per behaviour and per status

Modules for the socket:

    perform: a behaviour → bytes, or no bytes
    server: listeners, the handler, the end
    certificate: self-signed, made at start
"""
