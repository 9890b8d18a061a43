(defchor add [A B] (-> A A B) [unit-price unit_price]
  (A->B (A (+ unit-price unit_price))))
