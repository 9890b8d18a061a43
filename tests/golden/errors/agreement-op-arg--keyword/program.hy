(defchor sorted-at [A B] (-> A B A) [items order]
  (A (sorted items :key order)))
