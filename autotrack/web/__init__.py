"""What the programs that answer over HTTP share: sockets, processes, connections, bodies."""
