"""Who may make a request: names of this server, tokens, pages of others in a browser; and headers that protect ours."""
