(defchor record [A B] (-> A B A) [name price]
  (A {"name" name "price" price}))
