"""The verbs that join the rooms: run a study, check it, gate files, propose a study."""
