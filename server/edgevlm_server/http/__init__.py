"""HTTP: routes, and the page. What comes before them is in folders. fastapi and starlette live here alone."""
