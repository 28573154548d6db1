"""HTTP: routes, bodies, keys, the built-in page. fastapi and starlette live here alone."""
