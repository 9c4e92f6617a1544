"""The editor of gates: what it shows and changes as plain values, and the page's half of it in ``editor.js``.

`Editor` answers messages and needs neither a browser nor a notebook; whoever carries the messages is apart from it.
"""
