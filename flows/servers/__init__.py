"""The servers of one machine: started, watched, stopped; Prefect's set-up and alerts."""
