(defn log [x] x)

(defchor work [A B] (-> A B B) [items factor]
  (let [total (A (sum (lfor item items :if (> item 0) (* 2 item))))
        name (B f"{factor} times")
        safe (A (try (int total) (except [error ValueError] (print error) 0)))
        key (A (fn [x] (+ x total)))]
    (A (for [item items] (print item)))
    (B (.append factor.history f"{(A->B safe) :>5} of {name !r}"))
    (B (get (. factor history) (A->B (A (key 1)))))))
