(defprotocol Login [User Server]
  (-> User Serve str))
