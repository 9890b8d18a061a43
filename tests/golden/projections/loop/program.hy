(defchor countdown [A B] (-> A #{A B}) [n]
  (loop [i (A=>B n) seen (B [])]
    (if (> i 0)
        (do (B (.append seen i))
            (recur (- i 1) seen))
        (do (B (print seen))
            i))))

(defchor server-loop [Client Server] (-> Client Server) [requests]
  (loop [rest requests total (Server 0)]
    (if (Client=>Server (Client (bool rest)))
        (recur (Client (cut rest 1 None))
               (Server (+ total (Client->Server (Client (get rest 0))))))
        total)))

(defchor swapped [A B] (-> A B [A B]) [x y]
  (loop [a x b y]
    (if (A=>B (A (< a 10)))
        (recur (A (+ (B->A b) 1)) (B (+ (A->B a) 2)))
        (pack a b))))
