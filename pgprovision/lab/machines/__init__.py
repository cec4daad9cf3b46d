"""Real machines behind the API simulator: systemd-nspawn, overlay disks, cloud-init."""
