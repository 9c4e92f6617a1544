"""Gates that a person drew on template tubes, carried to other tubes by moves along their axes."""
