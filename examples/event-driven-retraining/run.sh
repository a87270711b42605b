#!/bin/sh
# Starts a broker and the stage, sends purchases through them and shows what comes out. Needs Docker only.
set -e
cd "$(dirname "$0")"
trap 'docker compose down --volumes' EXIT
docker compose up --detach --build --wait
docker compose exec stage node dist/examples/event-driven-retraining/demo.js
