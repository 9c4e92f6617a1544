"""Gates in from FlowJo and Gating-ML, and out again."""
