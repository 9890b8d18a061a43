(defchor deal [A B C] (-> A [B C]) [cards]
  (scatter [A B C] (A (get cards 0))))
