"""What goes wrong around a server, made to go wrong: processes killed, clients that leave, disks that are full.

`plan.py` lists the faults and the tests of each, which lie here or with the tests of a room. What these machines
cannot be made to do has no test:

- F9, a link that is dropped without a word: it takes a network of its own, and root. A stream whose client is
  silently gone ends with its answer; the kernel gives up its packets later.
- F21, ten bad starts in a row under systemd: `edgevlm.service` is read, not run. That a bad start is one sentence is
  tested.
- F22, a read-only root and another user: the tests of the images run their containers so, which takes podman.
- F18 moves Python's clock; moving the machine's takes libfaketime.
"""
