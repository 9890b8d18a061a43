(defchor even [A B] (-> A B))

(defchor odd [A B] (-> A B) [n]
  (if (A=>B (A (= n 0)))
      (B False)
      (even [A B] (A (- n 1)))))

(defchor even [A B] (-> A B) [n]
  (if (A=>B (A (= n 0)))
      (B True)
      (odd [A B] (A (- n 1)))))
