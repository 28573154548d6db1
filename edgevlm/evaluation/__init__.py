"""An evaluation of the demo model: who answers its questions, and what it leaves behind."""
