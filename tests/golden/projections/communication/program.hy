(defchor ask [Client Server] (-> Client Server Client) [title catalogue]
  (Server->Client (Server (.get catalogue (Client->Server title)))))

(defchor broadcast [A B C] (-> A #{A B C}) [x]
  (bcast [A B C] x))

(defchor collect [A B C] (-> B C A) [y z]
  (gather [A B C] y (C (+ z 1))))

(defchor deal [A B C] (-> A [B C]) [cards]
  (scatter [A B C] (A (get cards 0)) (A (get cards 1))))
