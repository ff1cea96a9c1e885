"""What any page that is served needs: a guard, connections, files."""
