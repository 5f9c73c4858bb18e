"""The DICOM upper layer and message exchange (PS3.8, PS3.7), for the server and for adapters that pull from other archives.

Blocking sockets, one thread an association, one receive buffer, and no data set object anywhere: P-DATA goes from the buffer to
whoever stores it, and out of the store to the socket.
"""
