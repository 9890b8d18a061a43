(defprotocol Login [User Server]
  (User->Server str))
