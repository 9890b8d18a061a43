(defchor greet [A B] (-> A B) [names]
  (A->B (A (list (map (fn [name] (+ name A)) names)))))
