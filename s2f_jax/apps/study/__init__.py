"""`s2f study`: user studies in which people compare videos or tell real ones from generated ones."""
