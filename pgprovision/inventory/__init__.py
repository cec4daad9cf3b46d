"""The inventory: a folder of YAML files that says what a cluster should be.

`cluster.yml`, one file per node in `nodes/`, templates of one's own in `templates/`, secrets in
`secrets/`. People's files are read, never rewritten.
"""
