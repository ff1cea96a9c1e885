"""The paper's user studies (3.4): which of two videos people prefer, and which they take for real."""
