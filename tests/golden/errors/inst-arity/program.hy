(defchor relay [A B C] (-> A C) [x] (B->C (A->B x)))
(defchor greet [Client Server] (-> Client Server) [name]
  (relay [Client Server] name))
