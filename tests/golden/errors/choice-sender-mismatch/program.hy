(defprotocol Ask [A B]
  (choice A
    [(-> A B (yes))]
    [(-> B A (no))]))
