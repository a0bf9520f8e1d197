"""A morning in four agencies: the services of this repository, used on a running network."""
