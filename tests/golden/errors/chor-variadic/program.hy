(defchor total [A B] (-> A B) [#* prices]
  (A->B (A (sum prices))))
