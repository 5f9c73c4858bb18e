"""Several archives asked as one: members, queries, retrieval. What is missing is said, and strangers are never made one."""
