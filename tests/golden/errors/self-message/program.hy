(defprotocol Login [User Server]
  (-> User Server str)
  (-> Server Server bool))
